"""Staff accounts and roles. Every change of an account is told by the audit trail."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import F, Q, QuerySet
from django.db.transaction import atomic
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from backoffice.site.bases import FiltersOfListOnly, ReadOnlyAdmin, column, in_lines, moment
from backoffice.site.display import EMPTY, code_text
from backoffice.site.filters import one_of
from backoffice.staff.forms import StaffChangeForm, StaffCreationForm, StaffPasswordForm
from backoffice.staff.steps import offered_steps, step_view
from backoffice.trail.pages import history_panel
from tcmpay.accounts.models import StaffUser
from tcmpay.accounts.roles import ROLE_NAMES, ROLE_TEXTS, permissions_within, role_names
from tcmpay.accounts.services.trail import AUDIT_OBJECT, staff_audit

# What of an account the audit trail keeps; the password's hash is never among it.
KEPT = ("username", "last_name", "first_name", "email", "is_active", "is_staff", "is_superuser")
# A change of one of these ends the account's sessions.
RIGHTS = frozenset({"is_active", "is_staff", "is_superuser", "roles"})


def account_state(person: StaffUser) -> dict[str, Any]:
    """What an account is, for comparing before and after."""
    return {
        **{name: getattr(person, name) for name in KEPT},
        "roles": sorted(person.groups.values_list("name", flat=True)),
    }


ROLE_FILTER = one_of("role", _("角色"), ROLE_NAMES.items, lambda name: Q(groups__name=name))


class StaffUserAdmin(FiltersOfListOnly, DjangoUserAdmin, ModelAdmin):
    """People who sign in here. Accounts are switched off, never deleted: history names them."""

    form = StaffChangeForm
    add_form = StaffCreationForm
    change_password_form = StaffPasswordForm
    add_form_template = "staff/add.html"
    change_user_password_template = "staff/set_password.html"
    change_form_template = "site/stepped_change_form.html"
    actions = None
    show_facets = admin.ShowFacets.NEVER
    change_form_outer_after_template = "site/panels.html"
    list_display = ("login", "name", "roles", "is_active", "second_factor", "signed_in")
    list_filter = ("is_active", ROLE_FILTER)
    list_filter_submit = True
    list_fullwidth = True
    search_fields = ("username", "first_name", "last_name", "email")
    search_help_text = _("用户名、姓名或邮箱")
    ordering = ("username",)
    filter_horizontal = ()
    empty_value_display = EMPTY
    fieldsets = (
        (None, {"fields": ("username",)}),
        (_("资料"), {"fields": (("last_name", "first_name"), "email")}),
        (_("权限"), {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        (_("登录"), {"fields": (("signed_in", "joined"), "second_factor", "id_shown")}),
        (_("修改原因"), {"fields": ("reason",)}),
    )
    readonly_fields = ("roles", "signed_in", "joined", "second_factor", "id_shown")
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("username", "password1", "password2"),
            },
        ),
        (_("资料"), {"fields": (("last_name", "first_name"), "email")}),
        (_("权限"), {"fields": ("is_staff", "groups")}),
        (_("新建原因"), {"fields": ("reason",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request)
        return rows.prefetch_related("groups", "totpdevice_set")

    @display(description=_("用户名"), ordering="username")
    def login(self, person: StaffUser) -> str:
        return code_text(person.username)

    name = column("", _("姓名"), lambda person: person.get_full_name() or EMPTY)

    roles = column("", _("角色"), lambda person: role_names(person.groups.all()) or EMPTY)

    @display(description=_("身份验证器"), boolean=True)
    def second_factor(self, person: StaffUser) -> bool:
        return any(device.confirmed for device in person.totpdevice_set.all())

    signed_in = moment("last_login", _("上次登录"))
    joined = moment("date_joined", _("创建时间"))
    id_shown = column("pk", _("编号"), str)

    # --- who may change whom ------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes the account of somebody who may more than they themselves."""
        if obj is not None and not self._is_within(request, obj):
            return False
        return super().has_change_permission(request, obj)

    @staticmethod
    def _is_within(request: HttpRequest, person: StaffUser) -> bool:
        if request.user.is_superuser:
            return True
        held = request.user.get_all_permissions()
        return not person.is_superuser and permissions_within(person.groups.all(), held)

    def may_help(self, request: HttpRequest, person: StaffUser) -> bool:
        """Whether the reader may reset somebody's login; one's own has pages of its own."""
        return person.pk != request.user.pk and self.has_change_permission(request, person)

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        form.editor = request.user  # which roles may be given depends on who gives them
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        if self.has_change_permission(request, obj):
            is_own = obj.pk == request.user.pk
            return _with_roles_for_reading(fieldsets) if is_own else fieldsets
        # For reading there is nothing to give a reason for.
        left = [row for row in fieldsets if row[1]["fields"] != ("reason",)]
        return _with_roles_for_reading(left)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        fields = tuple(super().get_readonly_fields(request, obj))
        if not request.user.is_superuser:
            fields += ("is_superuser",)
        if obj is not None and obj.pk == request.user.pk:
            # Nobody locks themself out, or gives themself another role.
            fields += ("is_active", "is_staff", "is_superuser", "groups")
        return tuple(dict.fromkeys(fields))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Whoever is given an account here is to sign in here."""
        return {"is_staff": True, **super().get_changeform_initial_data(request)}

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "is_staff" and field is not None:
            field.label = _("可登录后台")
            field.help_text = _("取消后，这个账号不能再登录本系统。")
        return field

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name == "groups" and field is not None:
            field.label = _("角色")
            field.widget.attrs["size"] = len(ROLE_NAMES) + 1  # none of them cut
            field.label_from_instance = lambda group: str(ROLE_NAMES.get(group.name, group.name))
            field.help_text = _("一名员工可以有多个角色；按住 Ctrl（Mac 为 Command）可多选。")
        return field

    # --- the audit trail ----------------------------------------------------------------------

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        person = super().get_object(request, object_id, from_field)
        if person is not None:
            person.state_before = account_state(person)
        return person

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        if not change:
            obj.must_change_password = True
        super().save_model(request, obj, form, change)

    def save_related(
        self, request: HttpRequest, form: ModelForm, formsets: Any, change: bool
    ) -> None:
        """After the roles are written, in the form's own transaction."""
        super().save_related(request, form, formsets, change)
        person = form.instance
        before = getattr(person, "state_before", {}) if change else {}
        after = account_state(person)
        changed = {
            name: {"from": before.get(name), "to": value}
            for name, value in after.items()
            if before.get(name) != value
        }
        if not changed:
            return
        if change and RIGHTS & changed.keys():
            StaffUser.objects.filter(pk=person.pk).update(session_epoch=F("session_epoch") + 1)
        staff_audit(
            person,
            "staff_changed" if change else "staff_created",
            actor=request.user.as_actor(),
            reason=form.cleaned_data["reason"],
            details={"changes": changed},
        )

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        person = self.get_object(request, id)
        if person is not None and person.pk == request.user.pk:
            return HttpResponseRedirect(reverse("staff-password"))  # which asks for the former one
        if person is not None and not self.has_change_permission(request, person):
            raise PermissionDenied
        with atomic():
            response = super().user_change_password(request, id, form_url)
            self._record_new_password(request, person)
        return response

    def _record_new_password(self, request: HttpRequest, person: StaffUser | None) -> None:
        if person is None or request.method != "POST":
            return
        now = StaffUser.objects.values_list("password", flat=True).get(pk=person.pk)
        if now != person.password:
            StaffUser.objects.filter(pk=person.pk).update(must_change_password=True)
            staff_audit(
                person,
                "staff_password_set",
                actor=request.user.as_actor(),
                reason=str(request.POST.get("reason", "")).strip(),
            )

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                "<path:object_id>/step/<slug:step>/",
                self.admin_site.admin_view(step_view),
                {"model_admin": self},
                name="accounts_staffuser_step",
            ),
            *super().get_urls(),
        ]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        context = {**(extra_context or {}), "show_history": False}
        return super().changeform_view(request, object_id, form_url, context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        person = kwargs.get("obj")
        if person is not None and self.may_help(request, person):
            context["steps"] = [_password_step(person), *offered_steps(person)]
        if person is not None and request.user.has_perm("audit.view_auditevent"):
            context["panels"] = [history_panel((AUDIT_OBJECT, person.pk))]
        return super().render_change_form(request, context, *args, **kwargs)


class RoleAdmin(ReadOnlyAdmin):
    """The roles, what they may do and who has them. The table in the code is the truth."""

    change_form_outer_after_template = None
    search_fields = ()
    list_filter = ()
    list_display = ("role", "text", "people")
    ordering = ("id",)
    fieldsets = ((None, {"fields": ("role", "text", "people", "may")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).prefetch_related("user_set")

    def title_of(self, row: Group) -> str:
        return str(ROLE_NAMES.get(row.name, row.name))

    role = column("name", _("角色"), lambda name: str(ROLE_NAMES.get(name, name)))
    text = column("name", _("说明"), lambda name: in_lines(str(ROLE_TEXTS.get(name, EMPTY))))

    @display(description=_("员工"))
    def people(self, group: Group) -> str:
        people = [person for person in group.user_set.all() if person.is_active]
        return "、".join(person.get_full_name() or person.username for person in people) or EMPTY

    @display(description=_("权限"))
    def may(self, group: Group) -> str:
        permissions = group.permissions.select_related("content_type").order_by(
            "content_type__app_label", "codename"
        )
        return format_html_join("", "<div>{}</div>", ((_permission(one),) for one in permissions))


def _with_roles_for_reading(fieldsets: Iterable[Any]) -> list[Any]:
    """The same page with the roles' names in the reader's language in place of the choice."""
    shown = {"groups": "roles"}
    return [
        (title, {**options, "fields": tuple(shown.get(name, name) for name in options["fields"])})
        for title, options in fieldsets
    ]


def _password_step(person: StaffUser) -> dict[str, Any]:
    url = reverse("admin:auth_user_password_change", args=[person.pk])
    return {"title": _("重设密码"), "url": url, "icon": "password"}


VERBS = {"view": _("查看"), "add": _("新增"), "change": _("修改"), "delete": _("删除")}


def _permission(permission: Any) -> str:
    verb, _separator, _model = permission.codename.partition("_")
    model = permission.content_type.model_class()
    if verb in VERBS and model is not None:
        return f"{VERBS[verb]}{model._meta.verbose_name}"
    return str(permission.name)
